-- A line that took over from another as the room's main one says whose snapshot its own snapshot 0 is a copy of: then the two need not be
-- compared entry by entry. Nothing is looked up through it, and the other line may be gone.
-- works with: 1
ALTER TABLE state_line ADD copy_line int, ADD copy_snap int;
