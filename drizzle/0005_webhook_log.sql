CREATE TABLE `webhook_log` (
	`webhook_id` integer NOT NULL,
	`delivery_id` integer NOT NULL,
	PRIMARY KEY(`webhook_id`, `delivery_id`)
) WITHOUT ROWID;--> statement-breakpoint
INSERT INTO `webhook_log` SELECT `webhook_id`, `id` FROM `deliveries` INDEXED BY `deliveries_log` ORDER BY `webhook_id`, `id`;--> statement-breakpoint
DROP INDEX `deliveries_log`;
