-- Concurrency that a function has for itself, and never more than that; NULL for none, 0 when the function is turned off.
ALTER TABLE functions ADD COLUMN reserved_concurrency BIGINT;
