"""Scripts on the user's own phones: what is asked for, what the owner's limits leave of it, and what came of it."""
