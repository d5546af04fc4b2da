/** What the tests of the template share: a stack from context values, and what is in it. */
import { readFileSync } from 'node:fs';
import { App } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { SluiceStack } from '../src/stack.ts';

/** Among them the check of every property against CloudFormation's own rules. */
const flags = JSON.parse(readFileSync(new URL('../cdk.json', import.meta.url), 'utf8')).context;
export const IMAGE = 'example/sluice:0.1.0';
export const CERTIFICATE =
  'arn:aws:acm:eu-west-1:111122223333:certificate/0a1b2c3d-0000-1111-2222-333344445555';
export const HOOK = 'arn:aws:lambda:eu-west-1:111122223333:function:check-new-version';
export const existing = {
  vpcId: 'vpc-0123456789abcdef0',
  availabilityZones: 'eu-west-1a,eu-west-1b',
  privateSubnetIds: 'subnet-0123456789abcdef0,subnet-0123456789abcdef1',
};

export function deployment(context: Record<string, string> = {}) {
  const app = new App({ context: { ...flags, image: IMAGE, ...context } });
  const stack = new SluiceStack(app, 'Sluice');
  return { app, template: Template.fromStack(stack) };
}

export interface ContainerProperties {
  Command: string[];
  Environment: { Name: string; Value: unknown }[];
  [name: string]: unknown;
}

export function propertiesOf(template: Template, type: string): Record<string, unknown>[] {
  return Object.values(template.findResources(type)).map(resource => resource.Properties);
}

export function containersOf(template: Template): ContainerProperties[] {
  return propertiesOf(template, 'AWS::ECS::TaskDefinition').map(
    ({ ContainerDefinitions }) => (ContainerDefinitions as ContainerProperties[])[0]!,
  );
}

export function environment(container: ContainerProperties): Record<string, unknown> {
  return Object.fromEntries(container.Environment.map(({ Name, Value }) => [Name, Value]));
}

export interface Opening {
  FromPort: number;
  CidrIp?: string;
  CidrIpv6?: string;
  GroupId?: unknown;
  SourceSecurityGroupId?: unknown;
}

/** Every rule that lets somebody in. */
export function openings(template: Template): Opening[] {
  return [
    ...propertiesOf(template, 'AWS::EC2::SecurityGroupIngress'),
    ...propertiesOf(template, 'AWS::EC2::SecurityGroup').flatMap(
      ({ SecurityGroupIngress }) => (SecurityGroupIngress as Opening[] | undefined) ?? [],
    ),
  ] as Opening[];
}
