//! A device's descriptors, asked for anew.

use std::time::Duration;

use bytes::Bytes;
use usbwright_target::protocol::{
    Setup,
    descriptor::{RawDescriptors, kind},
    request,
};

use super::UsbTargetDevice;
use crate::{
    Memory, MemoryOffset, Timeout,
    device::Device,
    request::SendOptions,
    status::{HResult, NtStatus},
};

/// How long a device may take for a descriptor (UMDF's limit for strings).
const TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes of a configuration descriptor without what belongs to it (USB 2.0 table 9-10).
const CONFIGURATION: usize = 9;
/// Bytes of a descriptor's length and type.
const HEADER: usize = 2;
/// The most bytes of a string descriptor.
const STRING: u16 = 255;

impl UsbTargetDevice {
    /// Asks the device for a descriptor (USB 2.0 §9.4.3), of `most` bytes at the most, and waits for it, 2 s at the most. What comes is not checked.
    ///
    /// [`descriptor`](Self::descriptor) and [`configuration`](Self::configuration) tell what is known already.
    ///
    /// # Errors
    /// As the device told, a stall where it has none; [`NtStatus::IO_TIMEOUT`] where it takes too long.
    #[doc(alias = "RetrieveDescriptor")]
    #[doc(alias = "WinUsb_GetDescriptor")]
    pub fn retrieve_descriptor(
        &self,
        descriptor_type: u8,
        index: u8,
        language: u16,
        most: u16,
    ) -> Result<Bytes, HResult> {
        let device = self.target.shared().device();
        let device = Device::of(&device.ok_or(NtStatus::DEVICE_REMOVED)?);
        let memory = match most {
            0 => None,
            _ => Some(Memory::zeroed(most.into())?),
        };
        let setup = Setup {
            request_type: 0x80,
            request: request::GET_DESCRIPTOR,
            value: u16::from(descriptor_type) << 8 | u16::from(index),
            index: language,
            length: most,
        };
        let options = SendOptions::new().ignore_target_state();
        let options = options.timeout(Timeout::After(TIMEOUT));
        let length = self.control_and_wait(&device, setup, memory.as_ref(), options)?;
        match memory {
            Some(memory) if length > 0 => {
                Ok(memory.to_bytes(Some(MemoryOffset { offset: 0, length }))?)
            }
            _ => Ok(Bytes::new()),
        }
    }

    /// Asks the device for a configuration descriptor, by its index, with all that belongs to it, and checks that it can be told apart.
    ///
    /// # Errors
    /// [`NtStatus::UNSUCCESSFUL`] where it tells of fewer bytes than it has itself; [`NtStatus::DEVICE_DATA_ERROR`] where the device contradicts itself about its length, or does not
    /// send all of it; [`NtStatus::INVALID_PARAMETER`] where a descriptor in it has no length, or goes beyond the end; [`NtStatus::INVALID_DEVICE_REQUEST`] where it tells of interfaces
    /// and has none; and as [`retrieve_descriptor`](Self::retrieve_descriptor).
    #[doc(alias = "WdfUsbTargetDeviceRetrieveConfigDescriptor")]
    pub fn retrieve_configuration(&self, index: u8) -> Result<Bytes, HResult> {
        let ask = |most| self.retrieve_descriptor(kind::CONFIGURATION, index, 0, most);
        let first = total_length(&ask(CONFIGURATION as u16)?)?;
        let bytes = ask(first)?;
        if total_length(&bytes) != Ok(first) || bytes.len() < first.into() {
            return Err(NtStatus::DEVICE_DATA_ERROR.into());
        }
        check(&bytes)?;
        Ok(bytes)
    }

    /// Asks the device for a string, in a language of its list, and puts as much of it into `buffer` as fits. Tells how many UTF-16 units it has; to ask for no more than that, give no buffer.
    ///
    /// # Errors
    /// [`NtStatus::DEVICE_DATA_ERROR`] where what came is no string descriptor; [`NtStatus::BUFFER_OVERFLOW`], a warning, where the string is longer than the buffer, which is full then;
    /// and as [`retrieve_descriptor`](Self::retrieve_descriptor).
    #[doc(alias = "WdfUsbTargetDeviceQueryString")]
    pub fn query_string(
        &self,
        index: u8,
        language: u16,
        buffer: &mut [u16],
    ) -> Result<usize, HResult> {
        let units = self.units(index, language)?;
        let fits = units.len().min(buffer.len());
        buffer[..fits].copy_from_slice(&units[..fits]);
        match fits < units.len() && !buffer.is_empty() {
            true => Err(NtStatus::BUFFER_OVERFLOW.into()),
            false => Ok(units.len()),
        }
    }

    /// Asks the device for a string, in a language of its list. What is no UTF-16 becomes U+FFFD.
    ///
    /// # Errors
    /// As those of [`query_string`](Self::query_string).
    #[doc(alias = "WdfUsbTargetDeviceAllocAndQueryString")]
    pub fn string(&self, index: u8, language: u16) -> Result<String, HResult> {
        Ok(String::from_utf16_lossy(&self.units(index, language)?))
    }

    fn units(&self, index: u8, language: u16) -> Result<Vec<u16>, HResult> {
        let bytes = self.retrieve_descriptor(kind::STRING, index, language, STRING)?;
        let told = bytes.first().map_or(0, |length| usize::from(*length));
        let is_string = told >= HEADER && told.is_multiple_of(2) && told <= bytes.len();
        if !is_string || bytes[1] != kind::STRING {
            return Err(NtStatus::DEVICE_DATA_ERROR.into());
        }
        let units = bytes[HEADER..told].chunks_exact(2);
        Ok(units
            .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
            .collect())
    }
}

/// The length that a configuration descriptor tells of itself and all that belongs to it.
#[doc(alias = "wTotalLength")]
fn total_length(bytes: &[u8]) -> Result<u16, NtStatus> {
    match *bytes {
        [_, _, low, high, ..] if bytes.len() >= CONFIGURATION => {
            let length = u16::from_le_bytes([low, high]);
            let enough = usize::from(length) >= CONFIGURATION;
            enough.then_some(length).ok_or(NtStatus::UNSUCCESSFUL)
        }
        _ => Err(NtStatus::UNSUCCESSFUL),
    }
}

/// What is wrong with a configuration's descriptors.
fn check(bytes: &[u8]) -> Result<(), NtStatus> {
    let all = RawDescriptors::new(bytes).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|_| NtStatus::INVALID_PARAMETER)?;
    let has_interfaces = all.iter().any(|it| it.kind == kind::INTERFACE);
    let tells_of_interfaces = bytes[4] > 0;
    match tells_of_interfaces && !has_interfaces {
        true => Err(NtStatus::INVALID_DEVICE_REQUEST),
        false => Ok(()),
    }
}
