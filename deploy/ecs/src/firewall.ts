/** The web ACL before the HTTP API: a limit for each address, and the common rules of AWS as far as they fit an API. */
import type { ApplicationLoadBalancer } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { CfnWebACL, CfnWebACLAssociation } from 'aws-cdk-lib/aws-wafv2';
import { Construct } from 'constructs';

/**
 * These rules count and do not block. Keys of counters are any text, such as the path that a scanner asked a shop for
 * (`/../../etc/passwd`): a blocked request would lose all updates in it. Sluice stores keys as values and runs none of
 * them. The rules on size are for forms: the server has limits of its own for bodies and queries. Clients of an API
 * often send no User-Agent, as that of Python's standard library.
 */
const COUNTED = [
  'NoUserAgent_HEADER',
  'SizeRestrictions_BODY',
  'SizeRestrictions_QUERYSTRING',
  'EC2MetaDataSSRF_BODY',
  'EC2MetaDataSSRF_QUERYARGUMENTS',
  'GenericLFI_BODY',
  'GenericLFI_QUERYARGUMENTS',
  'GenericRFI_BODY',
  'GenericRFI_QUERYARGUMENTS',
  'RestrictedExtensions_QUERYARGUMENTS',
  'CrossSiteScripting_BODY',
  'CrossSiteScripting_QUERYARGUMENTS',
];

/** The body that the server itself sends if a key makes too many requests (docs/http.md). */
const LIMITED = {
  type: 'urn:sluice:problem:RATE_LIMITED',
  title: 'Too many requests',
  status: 429,
  code: 'RATE_LIMITED',
  detail:
    'This address has made too many requests in five minutes. Wait, or send more updates in each request.',
  retryable: true,
  applied: 'no',
};

const WINDOW_SECONDS = 300;

export class Firewall extends Construct {
  constructor(scope: Construct, id: string, balancer: ApplicationLoadBalancer, requestsPerAddress: number) {
    super(scope, id);
    const acl = new CfnWebACL(this, 'Acl', {
      scope: 'REGIONAL',
      defaultAction: { allow: {} },
      visibilityConfig: visible('All'),
      customResponseBodies: {
        limited: { contentType: 'APPLICATION_JSON', content: JSON.stringify(LIMITED) },
      },
      rules: [
        {
          name: 'RequestsOfAnAddress',
          priority: 0,
          statement: {
            rateBasedStatement: {
              aggregateKeyType: 'IP',
              limit: requestsPerAddress,
              evaluationWindowSec: WINDOW_SECONDS,
            },
          },
          action: {
            block: {
              customResponse: {
                responseCode: LIMITED.status,
                customResponseBodyKey: 'limited',
                responseHeaders: [{ name: 'Retry-After', value: '60' }],
              },
            },
          },
          visibilityConfig: visible('RequestsOfAnAddress'),
        },
        {
          name: 'CommonRules',
          priority: 1,
          statement: {
            managedRuleGroupStatement: {
              vendorName: 'AWS',
              name: 'AWSManagedRulesCommonRuleSet',
              ruleActionOverrides: COUNTED.map(name => ({ name, actionToUse: { count: {} } })),
            },
          },
          overrideAction: { none: {} },
          visibilityConfig: visible('CommonRules'),
        },
      ],
    });
    new CfnWebACLAssociation(this, 'Association', {
      resourceArn: balancer.loadBalancerArn,
      webAclArn: acl.attrArn,
    });
  }
}

/** No samples: they would show the keys of callers. */
function visible(metricName: string): CfnWebACL.VisibilityConfigProperty {
  return { metricName, cloudWatchMetricsEnabled: true, sampledRequestsEnabled: false };
}
