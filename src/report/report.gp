# The pictures of a report; `picture` says which. Before this script stand the data blocks $curve (coverage, risk), $chosen
# (the same of the threshold, empty without one), $reliability and $histogram (bins: low, high, images, right ones).
set terminal pngcairo size 900,600 background rgb 'white'
set xlabel 'confidence'
middle(low, high) = (low+high)/2

if (picture eq 'risk_coverage') {
    set xlabel 'coverage: share of images accepted'
    set ylabel 'risk: share of errors among them'
    set xrange [0:1]
    set yrange [0:*]
    set style line 1 lw 2.5 lc rgb '#1f5fa8'
    if (|$chosen| == 0) {
        plot $curve with lines ls 1 title 'risk at coverage'
    } else {
        plot $curve with lines ls 1 title 'risk at coverage', \
             $chosen with points pt 7 ps 2 lc rgb '#b34700' title 'threshold of this report'
    }
}

if (picture eq 'reliability') {
    set ylabel 'accuracy'
    set xrange [0:1]
    set yrange [0:1]
    set style fill solid .75 border lc rgb '#ffffff'
    plot $reliability using (middle($1,$2)):($3 > 0 ? $4/$3 : NaN):($2-$1) with boxes lc rgb '#1f5fa8' \
             title 'share of right answers', \
         x with lines dt 2 lw 2 lc rgb '#202020' title 'perfectly calibrated'
}

if (picture eq 'histogram') {
    set ylabel 'images'
    stats $histogram using 1:2 name 'bins' nooutput
    set xrange [bins_min_x:bins_max_y]
    set yrange [0:*]
    plot $histogram using (middle($1,$2)):3:($2-$1) with boxes fs solid .75 border lc rgb '#ffffff' \
             lc rgb '#1f5fa8' title 'right', \
         $histogram using (middle($1,$2)):($3-$4):($2-$1) with boxes fs pattern 4 border lc rgb '#b34700' \
             lc rgb '#b34700' title 'wrong'
}
