//! How opening a file ends.

use usbwright_host_stack::{
    Handle,
    status::{HResult, NtStatus, Win32Error},
};

use super::Server;

impl Server {
    /// The drivers have answered.
    pub(super) fn opened(&self, request: u64, file: u64, opened: Result<Handle, Win32Error>) {
        match opened {
            Ok(handle) => {
                let mut state = self.state();
                let of = state.files.get_mut(&file);
                // It was closed meanwhile: then the handle goes as well.
                let late = match of {
                    Some(of) => of.handle.replace(handle),
                    None => Some(handle),
                };
                drop(state);
                drop(late);
                self.end_request(request, NtStatus::SUCCESS, 0, &[]);
            }
            Err(error) => {
                self.state().files.remove(&file);
                let why = NtStatus::from_hresult(HResult::from(error));
                self.end_request(request, why, 0, &[]);
            }
        }
    }
}
