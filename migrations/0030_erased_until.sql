-- Erasures go on where they were (src/me/erase.sql): the last key whose answer an unfinished erasure has erased. NULL: no
-- erasure is under way.
alter table tenant.kept_answers add column erased_until bytea;
