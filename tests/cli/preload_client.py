"""The same client over ctypes. LOCAL|GLOBAL CFG WEIGHTS CHANNELS OUTPUTS"""
import ctypes
import sys

mode = ctypes.RTLD_GLOBAL if sys.argv[1] == "GLOBAL" else ctypes.DEFAULT_MODE
lib = ctypes.CDLL("/usr/lib/darknet/libdarknet.so", mode)
lib.load_network.restype = ctypes.c_void_p
lib.network_predict.restype = ctypes.POINTER(ctypes.c_float)
lib.network_width.argtypes = lib.network_height.argtypes = lib.free_network.argtypes = [ctypes.c_void_p]
lib.set_batch_network.argtypes = [ctypes.c_void_p, ctypes.c_int]
lib.network_predict.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_float)]

net = lib.load_network(sys.argv[2].encode(), sys.argv[3].encode(), 0)
lib.set_batch_network(net, 1)
count = lib.network_width(net) * lib.network_height(net) * int(sys.argv[4])
pixels = (ctypes.c_float * count)(*[(i % 7) / 7 for i in range(count)])
out = lib.network_predict(net, pixels)
for i in range(int(sys.argv[5])):
    print("%.6f" % out[i])
lib.free_network(net)
