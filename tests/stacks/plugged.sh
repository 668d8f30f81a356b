# What the lab runs: it stops at the first error. A board that a kernel has is plugged in and out, and a manager has it by libusb.
set -eux

# Runs a manager with its files in a folder, as the rest of the line says.
start() {
    at=$1
    shift
    RUST_LOG=debug "$@" usbwright stack run fx2.toml --device libusb:id=0547:1002 --journal $at/journal \
        --control unix:$at/control --devices-in $at/devices >$at/ran 2>$at/log & manager=$!
    until grep -q ready $at/ran; do kill -0 $manager; sleep 0.02; done
}

stop() {
    kill $manager
    wait $manager
}

stack() {
    usbwright stack "$@" --control unix:$at/control
}

# Waits until the journal has so many lines with a number of an event.
seen() {
    until [ "$(grep -c "\"id\":$1[,}]" $at/journal)" = "$2" ]; do kill -0 $manager; sleep 0.02; done
}

plug() {
    usbwright attach -r 127.0.0.1 -b 1-1
}

unplug() {
    usbwright detach --all
}

# The board's drivers do their work, and it is called as it was the first time.
works() {
    named=$(stack list | sed -n 's/: running, .*//p')
    [ "$named" = "${board:=$named}" ]
    io write --text hello
    [ "$(io read 5)" = hello ]
}

io() {
    usbwright stack io --devices-in $at/devices "$board" "$@"
}

usbwright serve osr-fx2 >served & server=$!
until grep -q ready served; do kill -0 $server; sleep 0.02; done

# A manager that is there before the board.
mkdir /run/first
start /run/first
[ -z "$(stack list)" ]
plug
seen 2010 1
works
# A host that was killed has it again in another process.
stack kill-host 1
seen 2010 2
works

# Plugged out, while an application waits.
opened=$(grep -c ': Opened' $at/log)
io read 5 2>errors & reader=$!
until [ "$(grep -c ': Opened' $at/log)" -gt "$opened" ]; do kill -0 $reader; sleep 0.02; done
unplug
if wait $reader; then exit 1; fi
grep -E 'ERROR_DEVICE_(NOT_CONNECTED|REMOVED) ' errors
seen 20002 1
seen 20006 1
seen 1008 2
[ -z "$(stack list)" ]
[ -z "$(ls $at/devices)" ]

# And in and out again, and again.
plug
seen 2010 3
works
unplug
seen 20006 2
plug
seen 2010 4
works
# The one failure was the host that was killed.
seen 10110 1
seen 2011 0

# A manager that comes after the board.
stop
mkdir /run/second
start /run/second
seen 2010 1
works
stop
unplug

# A user that may open the board only after a while, as it is udev that says so.
install -d -o 65534 /run/third
start /run/third setpriv --reuid 65534 --clear-groups --inh-caps +dac_read_search --ambient-caps +dac_read_search
plug
until grep -q 'may not open' $at/log; do kill -0 $manager; sleep 0.02; done
chown 65534 /dev/bus/usb/*/*
seen 2010 1
works
stop
unplug
kill $server
wait $server
echo done
