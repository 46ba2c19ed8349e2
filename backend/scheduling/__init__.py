"""A doctor's time: weekly hours, leave, closures, and the slots that follow from them."""
