from hypothesis import settings

# Derandomised: a suite that fails must fail again; the examples still follow from the test alone.
settings.register_profile(
    "house", deadline=None, max_examples=60, derandomize=True, database=None, print_blob=False
)
settings.load_profile("house")
