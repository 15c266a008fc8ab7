"""Features against their definitions, against TA-Lib, and against the laws that all of them keep."""
