/** The TypeScript examples of the API document, unchanged. */
export const SEED_TYPESCRIPT = `
// Register a webhook
const webhook = await armor.createWebhook({
url: 'https://hooks.slack.com/services/T.../B.../xxx',
events: ['red_tier'],
});
console.log('Secret:', webhook.secret);
// List webhooks
const webhooks = await armor.listWebhooks();
// Update a webhook
await armor.updateWebhook(webhooks[0].id, {
events: ['red_tier', 'yellow_tier'],
});
// Test a webhook
const test = await armor.testWebhook(webhooks[0].id);
console.log('Reachable:', test.success);
// Remove a webhook
await armor.deleteWebhook(webhooks[0].id);
`;
