"""Networks of S sessions as one: every parameter carries a leading session axis."""

import warnings

# numpy would print them while a session diverges, which is said in one line at its next log checkpoint
warnings.filterwarnings("ignore", "(overflow|invalid value) encountered", RuntimeWarning, module=r"rllab\.nets\.")
