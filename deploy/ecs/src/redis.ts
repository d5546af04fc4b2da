/** Redis: ElastiCache with a replica in another zone, TLS and a password. Sluice's evicts nothing, a cache's anything. */
import { Validations } from 'aws-cdk-lib';
import type { SecurityGroup } from 'aws-cdk-lib/aws-ec2';
import { CfnParameterGroup, CfnReplicationGroup, CfnSubnetGroup } from 'aws-cdk-lib/aws-elasticache';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { type Network, REDIS_PORT } from './network.ts';
import type { Options } from './options.ts';

/** What ElastiCache offers of what Sluice is tested with: Redis 7 and Valkey. */
const engines = {
  valkey: { engineVersion: '8.1', family: 'valkey8' },
  redis: { engineVersion: '7.1', family: 'redis7' },
} as const;

export interface RedisParts {
  readonly engine: Options['redisEngine'];
  readonly node: string;
  readonly replicas: number;
  readonly securityGroup: SecurityGroup;
  readonly policy: 'noeviction' | 'allkeys-lru';
  readonly why: string;
  readonly holds: string;
}

export class Redis extends Construct {
  readonly url: string;
  readonly password: Secret;
  /** Ids of the nodes, by which CloudWatch tells them apart. */
  readonly nodes: string[];

  constructor(scope: Construct, id: string, network: Network, parts: RedisParts) {
    super(scope, id);
    const { engineVersion, family } = engines[parts.engine];
    this.password = new Secret(this, 'Password', {
      description: `Sluice: password of Redis for ${parts.holds}`,
      // What ElastiCache takes: 16 to 128 characters.
      generateSecretString: { passwordLength: 64, excludePunctuation: true },
    });
    const parameters = new CfnParameterGroup(this, 'Parameters', {
      cacheParameterGroupFamily: family,
      description: `Sluice: ${parts.why}`,
      // The group that ElastiCache gives by default evicts what has a TTL (volatile-lru).
      properties: { 'maxmemory-policy': parts.policy },
    });
    const subnets = new CfnSubnetGroup(this, 'Subnets', {
      description: `Sluice: Redis for ${parts.holds}`,
      subnetIds: network.dataSubnets.map(subnet => subnet.subnetId),
    });
    const nodes = parts.replicas + 1;
    const group = new CfnReplicationGroup(this, 'Group', {
      replicationGroupDescription: `Sluice: ${parts.holds}`,
      engine: parts.engine,
      engineVersion,
      cacheNodeType: parts.node,
      numCacheClusters: nodes,
      automaticFailoverEnabled: true,
      multiAzEnabled: true,
      transitEncryptionEnabled: true,
      transitEncryptionMode: 'required',
      atRestEncryptionEnabled: true,
      authToken: this.password.secretValue.unsafeUnwrap(),
      cacheParameterGroupName: parameters.ref,
      cacheSubnetGroupName: subnets.ref,
      securityGroupIds: [parts.securityGroup.securityGroupId],
      port: REDIS_PORT,
      autoMinorVersionUpgrade: true,
      // A snapshot holds what MySQL has had for hours, and nothing that is pending: restoring one helps nobody.
      snapshotRetentionLimit: 0,
    });
    this.url = `rediss://${group.attrPrimaryEndPointAddress}:${REDIS_PORT}`;
    this.nodes = Array.from({ length: nodes }, (_, index) => `${group.ref}-00${index + 1}`);
    Validations.of(group).acknowledge({
      id: 'AwsSolutions-AEC5',
      reason:
        'Security groups decide who reaches Redis; another port than the usual one would keep nobody out.',
    });
    Validations.of(this.password).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason:
        'ElastiCache changes its password in two steps with a restart of all clients between; README.md says how. A timer cannot.',
    });
  }
}
