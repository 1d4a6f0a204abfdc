SELECT TO_REGCLASS('sales_simulation.settings') IS NOT NULL AS playback_exists
