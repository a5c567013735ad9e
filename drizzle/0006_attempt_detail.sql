ALTER TABLE `attempts` ADD `detail` text;--> statement-breakpoint
ALTER TABLE `deliveries` ADD `last_detail` text;