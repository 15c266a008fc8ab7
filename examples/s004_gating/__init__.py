"""Case S004: five models, none of which ever worked."""
