-- What goes of push notes once they are old: a mark says which position was the newest at a moment.
-- works with: 1
CREATE TABLE note_mark(ts bigint PRIMARY KEY, pos bigint NOT NULL);
