"""A doctor's time: weekly hours, leave, closures, and the slots that come of them."""
