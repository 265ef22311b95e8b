"""The page of streamed answers in Chromium: it shows words as they come, and stops."""

from selenium.webdriver import Chrome

from tests.examples.pages import keep_picture, open_page
from tests.examples.running import example_running


def test_the_page_shows_an_answer_while_it_comes_and_stops_another(browser: Chrome) -> None:
    with example_running("answers.py", "--port", "0") as address, open_page(browser, f"{address}/") as page:
        page.type("#text", "How does streaming work?")
        page.wait_for(".end", "done")
        page.type("#text", "And who pays for it?")
        page.wait(lambda: page.text(".answer.running p").count(" ") > 12)
        keep_picture("answers", page.picture())
        page.click(".answer.running button")
        page.wait(lambda: page.texts(".end") == ["done", "cancelled"])
