DROP INDEX `deliveries_tried`;--> statement-breakpoint
DROP INDEX `deliveries_waiting`;--> statement-breakpoint
CREATE INDEX `deliveries_tried` ON `deliveries` (`webhook_id`,`id`) WHERE status = 0 AND (attempt_count > 0 OR last_error IS NOT NULL);--> statement-breakpoint
CREATE INDEX `deliveries_waiting` ON `deliveries` (`webhook_id`,`next_attempt_at`) WHERE status = 0 AND (attempt_count > 0 OR last_error IS NOT NULL);--> statement-breakpoint
ALTER TABLE `webhooks` ADD `fresh_from` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `webhooks` ADD `tried_through` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
UPDATE `webhooks` SET
 `tried_through` = coalesce((SELECT `id` FROM `deliveries` INDEXED BY `deliveries_log`
  WHERE `webhook_id` = `webhooks`.`id` AND NOT (status = 0 AND attempt_count = 0 AND last_error IS NULL)
  ORDER BY `id` DESC LIMIT 1), 0);--> statement-breakpoint
UPDATE `webhooks` SET
 `fresh_from` = coalesce((SELECT min(`id`) FROM `deliveries` INDEXED BY `deliveries_fresh`
  WHERE `webhook_id` = `webhooks`.`id` AND status = 0 AND attempt_count = 0), `tried_through` + 1);--> statement-breakpoint
DROP INDEX `deliveries_fresh`;
