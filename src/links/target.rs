//! Checks of target URLs.

use url::Url;

use crate::problem::{Code, Problem};
use crate::site::Site;

/// Size limit of a URL, in bytes.
const URL_BYTES_MAX: usize = 2_048;

/// The URL as stored: parsed and written again, so that its text shows the real target.
pub(super) fn check_url(text: &str, site: &Site) -> Result<String, Problem> {
    let refused = |why: &str| Problem::new(Code::UrlNotAllowed).field("/url", why);
    if text.len() > URL_BYTES_MAX {
        return Err(refused("must be at most 2048 bytes"));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(refused("must not contain spaces or control characters"));
    }
    let url = Url::parse(text).map_err(|_no_url| refused("must be an absolute URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused("must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("must not contain a user or a password"));
    }
    if site.is_short_url(&url) {
        return Err(refused("must not be a short URL of this server"));
    }
    let url = String::from(url);
    if url.len() > URL_BYTES_MAX {
        return Err(refused("must be at most 2048 bytes once it is percent-encoded"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_target_must_be_a_web_page_and_no_short_url() {
        let site = Site::new("https://pay.example/base/".parse().unwrap());
        for (good, kept) in [
            ("https://shop.example", "https://shop.example/"),
            ("HTTP://Shop.Example:80/a?b#c", "http://shop.example/a?b#c"),
            ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
            ("https://b\u{fc}cher.example/\u{e4}", "https://xn--bcher-kva.example/%C3%A4"),
            ("http:\\\\shop.example\\a", "http://shop.example/a"),
            ("https://pay.example/base/about", "https://pay.example/base/about"),
        ] {
            assert_eq!(check_url(good, &site).unwrap(), kept, "{good}");
        }
        for bad in [
            "",
            "shop.example",
            "//shop.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "ftp://shop.example",
            "https://",
            "https://user@shop.example",
            "https://user:secret@shop.example",
            "https://pay.example/base/l/abc",
            "https://PAY.example./base/l/abc",
            "https://p\u{ff41}y.example/base/l/",
            "https://shop.example/a b",
            "https://shop.example/\n",
            " https://shop.example",
            &format!("https://shop.example/{}", "x".repeat(3_000)),
            &format!("https://shop.example/{}", "\u{e4}".repeat(1_000)),
        ] {
            assert_eq!(check_url(bad, &site).unwrap_err().code(), Code::UrlNotAllowed, "{bad}");
        }
    }
}
