# What the lab runs: it stops at the first error. `node` is the board's file.
set -eux
node=/dev/usbwright/osr-fx2
# How many requests programs wait for, as the kernel knows it.
waiting=/sys/class/cuse/usbwright!osr-fx2/waiting

start() {
    usbwright stack run fx2.toml --device osr-fx2 --char-devices --allow user:4711 \
        --control unix:/run/control --devices-in /run/devices & manager=$!
    until [ -c $node ]; do kill -0 $manager; sleep 0.02; done
}

# Has a program read from the board, until it waits for the driver. A script's background processes would ignore the signal.
until_cat_waits() {
    exec 3<$node
    env --default-signal=INT cat <&3 >came 2>errors & program=$!
    exec 3<&-
    until [ "$(cat "$waiting")" = 1 ]; do kill -0 $program; sleep 0.02; done
}

# How the program has ended.
ended() {
    if wait $program; then status=0; else status=$?; fi
    [ $status = "$1" ]
}

fails() {
    if "$@"; then echo "passed: $*"; exit 1; fi
}

start

# Data comes back as it was: the board sends back what it gets, by way of two drivers.
head -c 64K /dev/urandom >data
dd if=$node of=back bs=512 count=128 & reader=$!
dd if=data of=$node bs=4096
wait $reader
cmp data back
head -c 1M /dev/urandom >data
head -c 1M <$node >back & reader=$!
cat data >$node
wait $reader
cmp data back

# A second manager's device of the same name is told of, and is none.
usbwright stack run fx2.toml --device osr-fx2 --char-devices \
    --control unix:/run/second --devices-in /run/others 2>errors & second=$!
until grep -q 'refuses a device usbwright/osr-fx2' errors; do kill -0 $second; sleep 0.02; done
kill $second
wait $second

# Control codes, and waiting for several things at once.
python3 control.py $node
python3 poll.py $node

# Only those may open it who were let in.
setpriv --reuid 4711 --clear-groups dd if=/dev/null of=$node
fails setpriv --reuid 4712 --clear-groups dd if=/dev/null of=$node

# A signal takes a read back, and with it nothing of what comes later.
until_cat_waits
kill -INT $program
ended 130
printf after >$node
[ "$(head -c 5 <$node)" = after ]

# A host that dies ends what waits, and the same file can be opened again.
host=$(usbwright stack list --control unix:/run/control | sed 's/.*(process \([0-9]*\))/\1/')
until_cat_waits
kill -9 "$host"
ended 1
grep -q 'Input/output error' errors
until printf again 2>errors >$node; do kill -0 $manager; sleep 0.02; done
[ "$(head -c 5 <$node)" = again ]

# When the manager ends, so does what waits, and there is no file any more.
until_cat_waits
kill $manager
wait $manager
ended 1
grep -q 'No such device' errors
[ ! -e /dev/usbwright ]

# Nor is there one after a manager that was killed, and nothing waits for ever.
start
until_cat_waits
kill -9 $manager
ended 1
grep -q 'connection abort' errors
while [ -e /dev/usbwright ]; do sleep 0.02; done

# Without CUSE it is told what to do.
rm /dev/cuse
fails usbwright stack run fx2.toml --device osr-fx2 --char-devices --control unix:/run/other 2>errors
grep -q 'modprobe cuse' errors
echo done
