"""Following every other member's log: the rule, the fetching and the schedule."""
