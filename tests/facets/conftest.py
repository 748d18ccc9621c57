"""On one thread, like torch: the probes' small products run three times slower on two when the cores are busy."""

import sklearn.base  # noqa: F401  a library can only be limited once it is loaded
from threadpoolctl import threadpool_limits

threadpool_limits(1)
