CREATE TABLE `external_id_buckets` (
	`id` integer PRIMARY KEY NOT NULL,
	`entries` blob NOT NULL
);
--> statement-breakpoint
CREATE TABLE `external_id_filters` (
	`id` integer PRIMARY KEY NOT NULL,
	`bits` blob NOT NULL
);
--> statement-breakpoint
CREATE TABLE `external_id_runs` (
	`id` integer PRIMARY KEY NOT NULL,
	`first_event_id` integer NOT NULL,
	`last_event_id` integer NOT NULL
);
--> statement-breakpoint
DROP INDEX `events_external_id`;--> statement-breakpoint
CREATE INDEX `events_named` ON `events` (`id`) WHERE external_id IS NOT NULL;