/** `cdk synth` and `cdk deploy` start here. Every stack is checked against the rules of AWS Solutions. */
import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { SluiceStack } from './stack.ts';

const app = new App();
Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
const { CDK_DEFAULT_ACCOUNT: account, CDK_DEFAULT_REGION: region } = process.env;
new SluiceStack(app, 'Sluice', account && region ? { env: { account, region } } : {});
