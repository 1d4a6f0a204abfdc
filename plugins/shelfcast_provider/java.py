"""How Java runs on a laptop."""

FOR_SECONDS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Options of jobs of seconds: what the second compiler and a parallel collector cost they never earn back."""
