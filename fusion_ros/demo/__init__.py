"""The whole system on one recording: bag, player, nodes as processes, a subscriber, and the report of what it got."""
