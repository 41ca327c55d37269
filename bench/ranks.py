"""What a step of several machines is foretold to take: bench/ranks.md says what the letters are."""
LATENCY = 50e-6  # seconds of a message
HIDDEN = 0.3     # share of the backward pass in which messages make way: measured
NETWORKS = (("ResNet-18", 11.17e6), ("VGG16-BN", 14.73e6))
LINKS = (1, 10, 100)  # Gbit/s


def waiting(parameters, ranks, link, backward):
    bytes_of = 2 * (ranks - 1) / ranks * 4 * parameters
    time = bytes_of / (link * 1e9 / 8) + 2 * (ranks - 1) * LATENCY
    return max(0, time - HIDDEN * backward)


def main():
    print("| network | step of a rank alone | link | 2 | 4 | 8 | 64 | 512 |\n|---|--:|--:|--:|--:|--:|--:|--:|")
    for name, parameters in NETWORKS:
        for step in (2.0, 0.2):
            for link in LINKS:
                cells = []
                for ranks in (2, 4, 8, 64, 512):
                    w = waiting(parameters, ranks, link, step * 2 / 3)
                    cells.append(f"{100 * w / (step + w):.0f} %, {ranks * step / (step + w):.{0 if ranks > 9 else 1}f}×")
                print(f"| {name} | {step:g} s | {link} Gbit/s | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
