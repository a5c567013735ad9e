ALTER TABLE `deliveries` DROP CONSTRAINT `deliveries_status`;--> statement-breakpoint
ALTER TABLE `deliveries` ADD CONSTRAINT `deliveries_status` CHECK(`status` BETWEEN 0 AND 2);
