CREATE TABLE `rotated_secrets` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`webhook_id` integer NOT NULL,
	`secret` blob NOT NULL,
	`expires_at` integer NOT NULL,
	FOREIGN KEY (`webhook_id`) REFERENCES `webhooks`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `rotated_secrets_webhook` ON `rotated_secrets` (`webhook_id`);--> statement-breakpoint
ALTER TABLE `api_keys` ADD `read_only` integer DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE `webhooks` ADD `name` text;--> statement-breakpoint
ALTER TABLE `webhooks` ADD `filter` text;--> statement-breakpoint
ALTER TABLE `webhooks` ADD `rate_limit_per_minute` integer;--> statement-breakpoint
ALTER TABLE `webhooks` ADD `grouped` integer;--> statement-breakpoint
ALTER TABLE `webhooks` ADD `headers` blob;--> statement-breakpoint
ALTER TABLE `webhooks` ADD `header_names` text;--> statement-breakpoint
INSERT INTO `rotated_secrets` (`webhook_id`, `secret`, `expires_at`) SELECT `id`, `previous_secret`, `previous_secret_expires_at` FROM `webhooks` WHERE `previous_secret` IS NOT NULL AND `previous_secret_expires_at` IS NOT NULL AND `deleted_at` IS NULL;--> statement-breakpoint
ALTER TABLE `webhooks` DROP COLUMN `previous_secret`;--> statement-breakpoint
ALTER TABLE `webhooks` DROP COLUMN `previous_secret_expires_at`;