"""The numba loops behind the doors: they only loop and write into their last arguments. Imported at first use."""
