//! WebUSB: the page that a browser opens for a device (WebUSB API, "WebUSB Device Requirements").

use bytes::{BufMut, Bytes};

use super::{
    DescriptorError, PlatformCapability,
    error::{Rule, Site},
};

/// WebUSB's descriptors.
#[derive(Clone, Debug)]
pub struct WebUsb {
    vendor_code: u8,
    landing_page: Option<String>,
}

/// The only URL there is.
pub(super) const LANDING_PAGE: u16 = 1;

/// `wIndex` of the request for a URL.
pub(super) const GET_URL: u16 = 2;

const URL: u8 = 3;
const LENGTH: Rule = (
    "a URL has at most 252 bytes after its scheme",
    "WebUSB, URL Descriptor: bLength is one byte",
);

impl WebUsb {
    /// `{3408b638-09a9-47a0-8bfd-a0768815b665}`, in the order of the wire.
    #[doc(alias = "PlatformCapabilityUUID")]
    pub const PLATFORM: [u8; 16] = [
        0x38, 0xb6, 0x08, 0x34, 0xa9, 0x09, 0xa0, 0x47, 0x8b, 0xfd, 0xa0, 0x76, 0x88, 0x15, 0xb6,
        0x65,
    ];

    /// WebUSB without a page. Hosts use `vendor_code` in the request for a URL; Microsoft's descriptors may share it.
    #[doc(alias = "bVendorCode")]
    pub fn new(vendor_code: u8) -> Self {
        Self {
            vendor_code,
            landing_page: None,
        }
    }

    /// The page to open, a URL.
    #[doc(alias = "iLandingPage")]
    pub fn landing_page(mut self, url: impl Into<String>) -> Self {
        self.landing_page = Some(url.into());
        self
    }

    pub(super) fn vendor_code(&self) -> u8 {
        self.vendor_code
    }

    /// The capability that announces it.
    pub(super) fn capability(&self) -> PlatformCapability {
        let page = if self.landing_page.is_some() {
            LANDING_PAGE as u8
        } else {
            0
        };
        PlatformCapability {
            uuid: Self::PLATFORM,
            data: Bytes::copy_from_slice(&[0x00, 0x01, self.vendor_code, page]),
        }
    }

    /// The URL descriptor, if there is a page.
    pub(super) fn url(&self, site: Site) -> Result<Option<Bytes>, DescriptorError> {
        let Some(url) = &self.landing_page else {
            return Ok(None);
        };
        let (scheme, rest) = [("http://", 0), ("https://", 1)]
            .into_iter()
            .find_map(|(prefix, scheme)| Some((scheme, url.strip_prefix(prefix)?)))
            .unwrap_or((255, url));
        let length = u8::try_from(3 + rest.len());
        let found = format_args!("{} bytes", rest.len());
        site.require(length.is_ok(), "URL", found, LENGTH)?;
        let mut bytes = vec![length.unwrap_or(u8::MAX), URL, scheme];
        bytes.put_slice(rest.as_bytes());
        Ok(Some(bytes.into()))
    }
}
