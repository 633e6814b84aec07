"""Rectangles painted into image, mask and boxes, and whether the three still agree after they moved."""

import numpy as np

HEIGHT, WIDTH = 48, 40


def painted() -> dict[str, np.ndarray]:
    """Four boxes that do not overlap: box k is drawn into the mask as k + 1, and into the image as a grey of its own."""
    boxes = [(4, 5, 20, 17), (3, 24, 15, 38), (26, 3, 44, 18), (24, 24, 36, 34)]
    mask = np.zeros((HEIGHT, WIDTH), np.int32)
    for number, (y0, x0, y1, x1) in enumerate(boxes, 1):
        mask[y0:y1, x0:x1] = number
    image = np.stack([mask / 4, mask > 0], axis=-1).astype(np.float32)
    return {"image": image, "mask": mask, "boxes": np.array(boxes, np.float32)}


def check_agreement(moved: dict[str, np.ndarray], *, slack: float = 1.6) -> int:
    """Asserts that image and mask show the same and that boxes are tight around the mask; how many are left.

    A pixel has the label of its centre, so that the region of a mask ends within half a pixel of the shape it stands
    for; where the shape ends in a slanted corner, a pixel earlier.
    """
    mask, left = moved["mask"], 0
    height, width = mask.shape
    for number, box in enumerate(moved["boxes"], 1):
        rows, columns = np.nonzero(mask == number)
        if rows.size < 4:
            # A sliver that the centre of hardly a pixel lies in.
            assert min(box[2] - box[0], box[3] - box[1]) <= 4
            continue
        left += 1
        tight = np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1])
        assert (box[:2] <= tight[:2] + 0.51).all() and (box[2:] >= tight[2:] - 0.51).all(), (box, tight)
        np.testing.assert_allclose(box, tight, atol=slack)
        assert (box >= 0).all() and (box[2:] <= [height, width]).all()
        # Away from other labels the image has the painted grey.
        same = np.pad(mask, 1, constant_values=-1) == number
        inner = same[1:-1, 1:-1] & same[:-2, 1:-1] & same[2:, 1:-1] & same[1:-1, :-2] & same[1:-1, 2:]
        inner &= same[:-2, :-2] & same[2:, 2:] & same[:-2, 2:] & same[2:, :-2]
        np.testing.assert_allclose(moved["image"][inner], [[number / 4, 1]] * inner.sum(), atol=1e-5)
    return left
