DROP INDEX `deliveries_due`;--> statement-breakpoint
DROP INDEX `deliveries_log`;--> statement-breakpoint
ALTER TABLE `deliveries` ADD `last_started_at` integer;--> statement-breakpoint
ALTER TABLE `deliveries` ADD `last_duration_ms` integer;--> statement-breakpoint
ALTER TABLE `deliveries` ADD `last_excerpt` text;--> statement-breakpoint
ALTER TABLE `deliveries` ADD `room` blob DEFAULT x'000000000000000000000000000000000000000000000000';--> statement-breakpoint
CREATE INDEX `deliveries_fresh` ON `deliveries` (`webhook_id`,`id`) WHERE status = 0 AND attempt_count = 0;--> statement-breakpoint
CREATE INDEX `deliveries_tried` ON `deliveries` (`webhook_id`,`id`) WHERE status = 0 AND attempt_count > 0;--> statement-breakpoint
CREATE INDEX `deliveries_waiting` ON `deliveries` (`webhook_id`,`next_attempt_at`) WHERE status = 0 AND attempt_count > 0;--> statement-breakpoint
CREATE INDEX `deliveries_failed` ON `deliveries` (`webhook_id`,`id`) WHERE status = 2;--> statement-breakpoint
CREATE INDEX `deliveries_log` ON `deliveries` (`webhook_id`,`id`);