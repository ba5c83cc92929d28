"""Under construction: see the modules beside this file."""
