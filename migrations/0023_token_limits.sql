-- Limits of tokens beside their scopes (src/auth/token_limits.rs).

-- methods: the only methods that the token may call; NULL: all that its scopes allow.
-- prefix: the begin of all names that it may use; NULL: any name.
alter table auth.tokens
  add column methods text[],
  add column prefix text collate "C";
