//! Clients that misbehave, and clients that only use what the protocol lets them, over real sockets.
//!
//! Every reply is checked by a model of the kernel's client (`support/usbip/vhci.rs`), which panics where the kernel would drop
//! the device. What has gone wrong in other USB/IP servers is held against this one:
//!
//! | What went wrong elsewhere | The test that keeps it away |
//! |---|---|
//! | A transfer answered after its unlink, or twice | `unlinks::an_unlink_that_overtakes_its_submit_is_answered_once`, `unlinks::races_of_transfers_and_unlinks_leave_nothing_unanswered` |
//! | Unlinks answered in the wrong order or with a wrong status | `unlinks::an_unlink_of_a_transfer_that_has_ended_comes_after_its_end`, `unlinks::a_waiting_transfer_is_taken_back` |
//! | Unlinks not answered, or found by endpoint | `unlinks::unlinks_of_numbers_that_never_were_are_answered` |
//! | An unlink not read while a transfer waits | `unlinks::a_waiting_transfer_is_taken_back`, `neighbours::an_endpoint_that_waits_delays_no_other` |
//! | More data than was asked for | `transfers::a_packet_that_does_not_fit_is_an_overflow_of_what_does`, `transfers::descriptors_are_cut_to_what_was_asked_for` |
//! | Data after the end of a write; a write's length not told | `transfers::a_write_is_answered_with_its_length_and_no_data` |
//! | Short reads padded | `transfers::what_is_written_to_the_loopback_comes_back_packet_by_packet` |
//! | Data announced and not sent after an error | `transfers::a_packet_that_does_not_fit_is_an_overflow_of_what_does` |
//! | Data of a control write left in the stream | `transfers::a_control_write_keeps_its_data` |
//! | Large transfers, short packets and the zero-length packet confused | `transfers::what_is_written_to_the_loopback_comes_back_packet_by_packet`, `transfers::a_zero_length_packet_is_sent_where_the_client_asks_for_it` |
//! | Packet counts believed on endpoints that are not isochronous | `transfers::a_packet_count_means_nothing_where_nothing_is_isochronous` |
//! | Isochronous data with gaps, sums that differ, no packets at all | `transfers::isochronous_packets_add_up`, `transfers::an_isochronous_transfer_of_no_packets_ends` |
//! | Packet counts without bound, isochronous transfers faster than their time | `operations::transfers_over_the_limits_end_the_connection`, `transfers::isochronous_packets_take_their_time` |
//! | Positive or foreign statuses | every test: the model takes negative Linux numbers only |
//! | A halt that nobody keeps, or that leaves transfers behind | `transfers::a_halt_holds_until_it_is_cleared` |
//! | Transfers to unknown endpoints dropped | `transfers::a_transfer_to_an_endpoint_that_is_not_there_is_answered` |
//! | Settings that leave queues behind | `transfers::a_new_setting_ends_what_waits` |
//! | Imports answered wrongly, bus ids not echoed, numbers of zero | `operations::an_import_tells_what_was_asked_for`, `operations::an_import_that_is_refused_is_a_header_alone` |
//! | Lists that are blocked by who is attached, or do not add up | `operations::a_list_is_answered_while_others_are_attached` |
//! | A device with two owners, or none for ever | `operations::a_device_in_use_is_busy_and_a_second_import_gives_it_back`, `deaths` |
//! | Replies with garbage in their padding | every test: the model looks |
//! | Odd standard requests that hang or crash | `transfers::odd_requests_are_answered` |
//! | Replies that wait for acknowledgements | `transfers::replies_are_not_held_back` |
//! | Several commands in one read, or one in several | `unlinks::races_of_transfers_and_unlinks_leave_nothing_unanswered`, `transfers::commands_may_come_byte_by_byte` |
//! | A client that does not read, and everybody waits or memory grows | `neighbours::a_client_that_does_not_read_holds_up_nobody_else`, and `limits.rs` |
//! | Idle endpoints that answer nothing over and over | `neighbours::an_endpoint_that_waits_delays_no_other` |
//! | Parsing on after garbage | `operations::nothing_is_read_after_a_message_that_cannot_be_meant` |
//! | Clients that vanish and keep the device | `deaths`; keep-alive is tested beside the listener |
//! | A panic that takes the server along | `neighbours::a_firmware_that_panics_unplugs_its_device_alone` |
//! | Two transfers of one number | `unlinks::a_number_that_is_under_way_ends_the_connection` |
//!
//! Out of scope of a server of emulated devices: how fast the client finds a transfer in its list, and streams.

#[allow(dead_code, reason = "limits.rs asks for other parts of it")]
#[path = "../support/usbip/mod.rs"]
mod support;

mod deaths;
mod neighbours;
mod operations;
mod transfers;
mod unlinks;
