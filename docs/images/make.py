"""Draw docs/images/report.png again: the first screen of a report, taken by a headless Chromium.

isthmus compare digits --out isthmus-digits
python docs/images/make.py isthmus-digits/report.html
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

QUIET = (
    "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-component-update"
)
SIZE = "1280,1000"


def main() -> None:
    """Take the picture of the page that the command line names."""
    browser = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    if browser is None or len(sys.argv) != 2:
        sys.exit("give the path of a report, and have Chromium installed")
    flags = [f"--{flag}" for flag in f"{QUIET} disable-sync hide-scrollbars".split()]
    target = Path(__file__).with_name("report.png")
    with tempfile.TemporaryDirectory() as profile:
        own = [f"--user-data-dir={profile}", f"--window-size={SIZE}", f"--screenshot={target}"]
        subprocess.run([browser, *flags, *own, Path(sys.argv[1]).resolve().as_uri()], check=True)


if __name__ == "__main__":
    main()
