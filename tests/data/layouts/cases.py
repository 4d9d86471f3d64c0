"""All cases: what people have, and what must come of it."""

from tests.data.layouts.cases_folders import FOLDERS
from tests.data.layouts.cases_names import NAMES
from tests.data.layouts.cases_published import PUBLISHED
from tests.data.layouts.cases_review import REVIEW
from tests.data.layouts.cases_second import SECOND
from tests.data.layouts.cases_shared import SHARED
from tests.data.layouts.cases_subsets import SUBSETS
from tests.data.layouts.cases_tables import TABLES

CASES = [*SHARED, *FOLDERS, *SUBSETS, *NAMES, *TABLES, *PUBLISHED, *REVIEW, *SECOND]
