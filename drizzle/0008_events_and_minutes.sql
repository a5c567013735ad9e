CREATE TABLE `event_feed` (
	`organization_id` integer NOT NULL,
	`type` integer NOT NULL,
	`event_id` integer NOT NULL,
	PRIMARY KEY(`organization_id`, `type`, `event_id`)
) WITHOUT ROWID;--> statement-breakpoint
INSERT INTO `event_feed` SELECT `organization_id`, `type`, `id` FROM `events` ORDER BY `organization_id`, `type`, `id`;--> statement-breakpoint
CREATE TABLE `webhook_minutes` (
	`webhook_id` integer NOT NULL,
	`minute` integer NOT NULL,
	`attempts` integer NOT NULL,
	`delivered` integer NOT NULL,
	`failed` integer NOT NULL,
	`latencies` blob NOT NULL,
	PRIMARY KEY(`webhook_id`, `minute`)
) WITHOUT ROWID;
