"""The pictures of the README, taken by Chromium of the report that `make demo` wrote: python tests/support/pictures.py

They are kept in tests/pictures, with few colours, so that they stay small.
"""

import io
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
SHOWN = {
    "report.png": ("", 1000, 700),
    "channel.png": ("#channel=V1:Sa_WE_CH00000_rms", 1100, 700),
}


def main():
    from PIL import Image

    from support import browser

    folder = ROOT / "tests" / "pictures"
    folder.mkdir(exist_ok=True)
    with browser.chromium() as chromium:
        for name, (view, width, height) in SHOWN.items():
            context = browser.context(chromium, width, height, zone="UTC", color_scheme="light")
            page = context.new_page()
            page.goto(f"file://{ROOT}/demo/week/report/index.html{view}")
            page.wait_for_selector("h2")
            page.wait_for_timeout(300)
            shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            shot.quantize(48, dither=Image.Dither.NONE).save(folder / name, optimize=True)
            print(folder / name, (folder / name).stat().st_size)
            context.close()


if __name__ == "__main__":
    main()
