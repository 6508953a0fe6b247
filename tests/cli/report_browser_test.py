"""report_browser_test.py BROWSER DIRECTORY: uses DIRECTORY/report.html and empty.html as people do.

The store is that of report_store.cc. CKP_REPORT_PICTURES=FOLDER keeps pictures of what was seen.
"""
import json
import os
import sys
import unittest

from report_browser import Browser

HOSTILE = "<script>alert(1)</script>"
SWEEP = ["cnn-lr0.0005-b64", "cnn-lr0.001-b64", "cnn-lr0.001-b32", "cnn-lr0.002-b64"]
ODD = 'odd "metric" </script><!--'

# Read by the tests: names in a column of the table of runs, and how many pixels of a colour there are
# on the chart.
HELPERS = """
window.names = () => [...document.querySelectorAll("#runs tbody .name")].map((e) => e.textContent);
window.choose = (id, value) => {
  const select = document.getElementById(id);
  select.value = value;
  select.dispatchEvent(new Event("change"));
};
window.type = (text) => {
  const input = document.getElementById("filter");
  input.value = text;
  input.dispatchEvent(new Event("input"));
};
window.heading = (title) => [...document.querySelectorAll("#runs thead button")]
    .find((button) => button.textContent === title);
window.colours = () => {
  const chart = document.getElementById("chart");
  const copy = new OffscreenCanvas(chart.width, chart.height).getContext("2d");
  copy.drawImage(chart, 0, 0);
  const pixels = copy.getImageData(0, 0, chart.width, chart.height).data;
  const style = getComputedStyle(document.documentElement);
  const counts = {};
  for (let i = 1; i <= 8; ++i) {
    const hex = style.getPropertyValue("--series-" + i).trim();
    const want = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    let count = 0;
    for (let at = 0; at < pixels.length; at += 4) {
      if (pixels[at] === want[0] && pixels[at + 1] === want[1] && pixels[at + 2] === want[2] &&
          pixels[at + 3] === 255) ++count;
    }
    counts[i] = count;
  }
  return counts;
};
0
"""


class ReportTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = Browser(browser_program)

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()

    def setUp(self):
        self.open("report.html")

    def open(self, name):
        self.browser.complaints.clear()
        self.browser.requests.clear()
        self.path = os.path.join(directory, name)
        self.browser.open(self.path)
        self.browser.look("light", 1280, 900)
        self.run_script(HELPERS)

    def tearDown(self):
        self.assertEqual(self.browser.complaints, [], "on the console")
        self.assertEqual(self.browser.requests, ["file://" + self.path])

    def run_script(self, expression):
        return self.browser.run(expression)

    def picture(self, name):
        folder = os.environ.get("CKP_REPORT_PICTURES")
        if folder:
            self.browser.screenshot(os.path.join(folder, name + ".png"))

    def drawn(self):
        """The places of the colours that are on the chart."""
        return [int(place) for place, count in self.run_script("colours()").items() if count > 20]

    def test_everything_is_there(self):
        text = self.run_script("document.body.innerText")
        for word in SWEEP + [HOSTILE, "val/loss", "optimizer/weight_decay", "@production",
                             "<b>better</b>", "failed", "interrupted", "MIT License"]:
            self.assertIn(word, text)
        self.assertEqual(self.run_script("document.title").split(" ")[0],
                         os.path.join(directory, "store"))
        self.assertEqual(self.run_script("""[...document.querySelectorAll("section")]
            .filter((s) => !s.hidden).map((s) => s.id)"""),
                         ["runs", "curves", "compare", "storage", "aliases"])

    def test_text_of_users_is_text(self):
        self.assertIn(HOSTILE, self.run_script("names()"))
        self.assertEqual(self.run_script("""document.querySelectorAll("main script, main img, main b")
            .length"""), 0)
        self.run_script(f"choose('metric', {json.dumps(ODD)})")
        self.assertEqual(self.run_script("document.getElementById('metric').value"), ODD)
        self.assertNotEqual(self.drawn(), [])

    def test_the_filter_finds_by_name_parameter_and_status(self):
        for words, expected in (("0.0005", SWEEP[:1]), ("lr=0.001 batch_size=32", SWEEP[2:3]),
                                ("SCRIPT", [HOSTILE]), ("no such run", []),
                                ("team: vision failed", SWEEP[2:3])):
            self.run_script(f"type({json.dumps(words)})")
            self.assertEqual(self.run_script("names()"), expected, words)
        self.run_script("type('')")
        self.assertEqual(len(self.run_script("names()")), 5)
        self.assertEqual(self.run_script("document.getElementById('run-count').textContent"), "5 runs")
        self.run_script("""document.querySelector(".statuses input[value=completed]").click()""")
        self.assertEqual(sorted(self.run_script("names()")), sorted([HOSTILE] + SWEEP[2:]))
        self.assertEqual(self.run_script("document.getElementById('run-count').textContent"),
                         "3 of 5 runs")

    def test_headings_sort_by_mouse_and_by_keyboard(self):
        self.assertEqual(self.run_script("names()"), [HOSTILE] + SWEEP[::-1], "newest first")
        self.run_script("heading('lr').click()")
        by_lr = [SWEEP[0], SWEEP[2], SWEEP[1], SWEEP[3], HOSTILE]
        self.assertEqual(self.run_script("names()[0]"), SWEEP[0])
        self.assertEqual(self.run_script("names()[4]"), HOSTILE)
        self.assertEqual(sorted(self.run_script("names()")), sorted(by_lr))
        self.run_script("heading('lr').focus()")
        self.browser.key("Enter")
        self.assertEqual(self.run_script("names()[0]"), HOSTILE)
        self.assertEqual(self.run_script("heading('lr').parentElement.ariaSort"), "descending")
        self.assertEqual(self.run_script("document.activeElement === heading('lr')"), True)
        self.run_script("heading('Run').focus()")
        self.browser.key(" ")
        self.assertEqual(self.run_script("names()"), [HOSTILE, SWEEP[0], SWEEP[2], SWEEP[1], SWEEP[3]])

    def test_metrics_and_runs_are_drawn_as_they_are_chosen(self):
        self.assertEqual(self.run_script("document.getElementById('metric').value"), "val/loss")
        self.assertEqual(self.drawn(), [1, 2, 3, 4], "the hostile run has no val/loss")
        self.run_script("choose('metric', 'train/loss')")
        self.assertEqual(self.drawn(), [1, 2, 3, 4, 5])
        self.picture("train-loss")
        self.run_script("""[...document.querySelectorAll("#runs button.plain")]
            .find((b) => b.textContent === "Choose none").click()""")
        self.assertEqual(self.drawn(), [])
        self.assertIn("Choose runs", self.run_script("document.querySelector('.notes').innerText"))
        box = f"""document.querySelector('input[aria-label="choose {SWEEP[1]}"]')"""
        self.run_script(box + ".focus()")
        self.browser.key(" ")
        self.assertEqual(self.drawn(), [1])
        self.assertTrue(self.run_script(f"document.activeElement === {box}"), "the focus stays")
        for axis in ("epoch", "step"):
            self.run_script(f"choose('axis', '{axis}')")
            self.assertEqual(self.drawn(), [1])
        self.run_script("document.getElementById('log').click()")
        self.assertEqual(self.drawn(), [1])

    def test_checkpoints_are_on_the_curves(self):
        marked = sum(self.run_script("colours()").values())
        self.run_script("document.getElementById('marks').click()")
        self.assertLess(sum(self.run_script("colours()").values()), marked)

    def test_nan_and_infinity_break_the_curve_and_nothing_else(self):
        self.run_script(f"choose('metric', {json.dumps(ODD)})")
        notes = "document.querySelector('.notes').innerText"
        self.assertIn("3 points NaN or infinite", self.run_script(notes))
        self.assertNotEqual(self.drawn(), [])
        self.picture("nan-linear")
        self.run_script("document.getElementById('log').click()")
        self.assertIn("at or below zero", self.run_script(notes))
        self.assertNotEqual(self.drawn(), [])
        self.picture("nan")

    def test_the_keyboard_goes_along_the_points_and_zooms(self):
        readout = "document.getElementById('readout').textContent"
        self.run_script("document.getElementById('chart').focus()")
        for _ in range(3):
            self.browser.key("ArrowRight")
        self.assertRegex(self.run_script(readout), r"^cnn.*val/loss [\d.]+ \(step \d+, epoch \d+\)")
        self.browser.key("+", code="Equal", text="+")
        self.assertFalse(self.run_script("document.getElementById('reset').hidden"))
        self.browser.key("Escape")
        self.assertTrue(self.run_script("document.getElementById('reset').hidden"))

    def test_the_mouse_points_and_zooms(self):
        box = self.run_script("""(() => {
            document.getElementById("chart").scrollIntoView();
            const r = document.getElementById("chart").getBoundingClientRect();
            return [r.left, r.top, r.width, r.height]; })()""")
        at = lambda x, y: {"x": box[0] + box[2] * x, "y": box[1] + box[3] * y}
        mouse = lambda kind, where, **more: self.browser.call(
            "Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **where, **more)
        mouse("mouseMoved", at(0.5, 0.5))
        mouse("mousePressed", at(0.3, 0.5), buttons=1)
        mouse("mouseMoved", at(0.6, 0.5), buttons=1)
        mouse("mouseReleased", at(0.6, 0.5))
        self.assertFalse(self.run_script("document.getElementById('reset').hidden"))
        self.assertNotEqual(self.drawn(), [])
        self.run_script("document.getElementById('reset').click()")
        self.assertTrue(self.run_script("document.getElementById('reset').hidden"))

    def test_differences_are_marked(self):
        marked = """[...document.querySelectorAll("#compare tr.differs th[scope=row]")]
            .map((e) => e.firstChild.textContent)"""
        self.assertIn("lr", self.run_script(marked))
        self.assertNotIn("optimizer/weight_decay", self.run_script(marked))
        self.run_script("document.getElementById('differences').click()")
        text = self.run_script("document.getElementById('compare').innerText")
        self.assertIn("lr", text)
        self.assertNotIn("optimizer/weight_decay", text)

    def test_light_dark_and_phone(self):
        seen = {}
        for scheme in ("light", "dark"):
            for width in (1280, 390):
                self.browser.look(scheme, width, 844)
                seen[scheme] = self.run_script("getComputedStyle(document.body).backgroundColor")
                self.assertLessEqual(
                    self.run_script("document.documentElement.scrollWidth"), width, scheme)
                self.assertEqual(self.drawn(), [1, 2, 3, 4], "in the scheme's own colours")
                self.picture(f"{scheme}-{width}")
        self.assertNotEqual(seen["light"], seen["dark"])

    def test_an_empty_store_is_met_with_kindness(self):
        self.open("empty.html")
        self.assertIn("This store is empty", self.run_script("document.body.innerText"))
        self.browser.look("light", 390, 844)
        self.assertLessEqual(self.run_script("document.documentElement.scrollWidth"), 390)
        self.picture("empty")


if __name__ == "__main__":
    browser_program, directory = sys.argv[1:]
    unittest.main(argv=sys.argv[:1], verbosity=2)
