"""The page in a real browser; skipped where there is none."""

import re

import pytest

from analysis_runs import write_run
from browser import Browser, is_installed
from rllab.analysis import summarize
from rllab.report import write_report

pytestmark = pytest.mark.skipif(not is_installed(), reason="no chromium and chromedriver")
TRIALS = "trial,state,value,frames,seconds,agent.lr,reason\n"
TRIALS += "0,complete,30.0,400,9.0,0.1,\n1,failed,,0,1.0,0.01,boom\n"
TRIALS += "2,complete,9.5,400,70.0,1e-05,\n10,pruned,-5.0,40,8.0,0.5,\n"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pages")
    run = write_run(directory / "run")
    summarize(run, plot=False)
    study = directory / "study"
    write_run(study / "0")
    (study / "trials.csv").write_text(TRIALS)
    for path in (run, study):
        write_report(path, path / "report.html")
    return {"run": run / "report.html", "study": study / "report.html"}


@pytest.mark.parametrize("name", ["run", "study"])
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_it_opens_without_a_word_and_fits(browser, pages, name, width, dark):
    browser.open(pages[name], width=width, dark=dark)
    assert browser.messages() == []
    assert browser.run("return document.documentElement.scrollWidth") <= width
    assert browser.run("return performance.getEntriesByType('resource').length") == 0


@pytest.mark.parametrize("name", ["run", "study"])
def test_dark_is_dark_and_its_pictures_are_legible(browser, pages, name):
    def brightness(selector, colour):
        """Of what is seen: 0 is black, 255 white."""
        script = f"return getComputedStyle(document.querySelector({selector!r})).{colour}"
        return sum(map(int, re.findall(r"\d+", browser.run(script))[:3])) / 3

    for dark in (False, True):
        browser.open(pages[name], dark=dark)
        ground = brightness(".card", "backgroundColor")
        assert (ground < 128) == dark
        for selector, colour in (("body", "color"), ("svg text", "fill"), ("svg path[style*=train]", "stroke")):
            assert abs(brightness(selector, colour) - ground) > 90, (selector, dark)


def test_a_click_sorts_by_a_column(browser, pages):
    browser.open(pages["study"])

    def order(column):
        browser.run(f"document.querySelectorAll('#trials th button')[{column}].click()")
        return browser.run(
            "return [...document.querySelectorAll('#trials tbody tr')].map(row => row.cells[0].innerText)"
        )

    assert order(2) == ["0", "2", "10", "1"]  # by score; the failed trial has none
    assert order(2) == ["10", "2", "0", "1"]
    assert order(1) == ["10", "1", "2", "0"]  # pruned, failed, complete; equal ones stay in order
    assert order(0) == ["10", "2", "1", "0"]
    assert order(5) == ["10", "0", "1", "2"]  # 1e-05 is a number
    assert browser.run("return document.querySelectorAll('#trials th[aria-sort]').length") == 1
