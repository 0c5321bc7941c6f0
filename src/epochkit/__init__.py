"""From a business brief to a deployed, monitored model and a retrospective, in eight notebook epochs

Modules:

- `epochkit.tests.test_crash_training`: Training and tuning are killed with kill -9 at random moments: what was finished is not done again, and the result is the undisturbed one.
- `epochkit.tests.test_old_records`: A record written by an older kit still verifies, and today's kit goes on from it.
- `epochkit.tests.test_sources_conformance`: What every kind of source inherits: write one class under `@data_source`, add one subclass here, get these tests."""

__version__ = "0.2.0"
