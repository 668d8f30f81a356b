//! The server of the crate `usbip`, with a device like Gadget Zero: its bulk source gives zeros, its sink takes anything.

use std::{
    any::Any,
    io::{Error, ErrorKind, Result},
    sync::{Arc, Mutex},
};

use tokio::net::TcpListener;
use usbip::{
    EndpointAttributes, SetupPacket, UsbDevice, UsbDeviceHandler, UsbEndpoint, UsbInterface,
    UsbInterfaceHandler, UsbIpServer,
};

/// The device's name on the server.
pub(crate) const BUS_ID: &str = "1-1";
/// The device's only configuration. The crate takes a SET_CONFIGURATION of any other, too.
const CONFIGURATION: u8 = 3;
const VENDOR_CLASS: u8 = 0xff;

/// Serves the device to whoever connects.
pub(crate) async fn serve(listener: TcpListener) -> Result<()> {
    let server = Arc::new(UsbIpServer::new_simulated(vec![device()]));
    loop {
        let (mut socket, _) = listener.accept().await?;
        // The crate's own accept loop leaves Nagle's algorithm on, which delays replies by up to 40 ms.
        socket.set_nodelay(true)?;
        let server = Arc::clone(&server);
        tokio::spawn(async move { usbip::handler(&mut socket, server).await });
    }
}

/// The device as the peer has it.
pub(crate) fn device() -> UsbDevice {
    let endpoint = |address| UsbEndpoint {
        address,
        attributes: EndpointAttributes::Bulk as u8,
        max_packet_size: 512,
        interval: 0,
    };
    let mut device = UsbDevice::new(0)
        .with_device_handler(Arc::new(Mutex::new(Box::new(EndpointZero))))
        .with_interface(
            VENDOR_CLASS,
            0,
            0,
            None,
            vec![endpoint(0x81), endpoint(0x01)],
            Arc::new(Mutex::new(Box::new(SourceSink))),
        );
    device.path = "/peer/1-1".into();
    device.bus_id = BUS_ID.into();
    device.bus_num = 1;
    device.dev_num = 1;
    device.vendor_id = 0x0525;
    device.product_id = 0xa4a0;
    device.device_class = VENDOR_CLASS;
    device.configuration_value = CONFIGURATION;
    device.usb_version.major = 2;
    device.set_product_name("Gadget Zero");
    device
}

#[derive(Debug)]
struct SourceSink;

impl UsbInterfaceHandler for SourceSink {
    fn get_class_specific_descriptor(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Answers the requests to the interface, too: its setting and its status are zeros.
    fn handle_urb(
        &mut self,
        _: &UsbInterface,
        endpoint: UsbEndpoint,
        length: u32,
        _: SetupPacket,
        _: &[u8],
    ) -> Result<Vec<u8>> {
        Ok(match endpoint.address & 0x80 {
            0 => Vec::new(),
            _ => vec![0; length as usize],
        })
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// The requests to the device and its endpoints at which the crate panics if nobody answers them.
#[derive(Debug)]
struct EndpointZero;

impl UsbDeviceHandler for EndpointZero {
    fn handle_urb(&mut self, _: u32, setup: SetupPacket, _: &[u8]) -> Result<Vec<u8>> {
        match (setup.request_type, setup.request) {
            (0x00..=0x7f, _) => Ok(Vec::new()),
            // GET_STATUS, of the device and of an endpoint.
            (0x80 | 0x82, 0) => Ok(vec![0, 0]),
            // GET_CONFIGURATION.
            (0x80, 8) => Ok(vec![CONFIGURATION]),
            _ => Err(Error::from(ErrorKind::Unsupported)),
        }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
