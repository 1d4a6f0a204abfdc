"""The forecasting method: what training, registry, deployment and serving share. Imports nothing else of ours but errors."""

import os

# LightGBM's threads wait for each other thousands of times a second. To sleep each time (OMP_WAIT_POLICY=PASSIVE) takes
# longer than the wait, to spin until the other is there (the default) never ends where more wants to run than there are
# cores. GNU's OpenMP reads this when it is loaded, with LightGBM, which every module here comes before
os.environ.setdefault("GOMP_SPINCOUNT", "3000")
