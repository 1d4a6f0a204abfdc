"""From the shop's change log to the cold store's RAW tables, each change once in effect."""
