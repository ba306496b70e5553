import os

from hypothesis import HealthCheck, settings

# Derandomised: a suite that fails must fail again; the examples still follow from the test alone.
settings.register_profile(
    "ci", deadline=None, max_examples=60, derandomize=True, database=None, print_blob=False
)
# For hours, with other examples every time: `make fuzz`.
settings.register_profile(
    "fuzz",
    deadline=None,
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "20000")),
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
settings.load_profile("ci")
